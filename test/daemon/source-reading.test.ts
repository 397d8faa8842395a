import test from 'ava';
import { refusalText } from '../../src/daemon/source-reading.js';

test('a source that is a forbidden folder, or lies in one, is told of without calling a state folder a store', t => {
  const told = (detail: string): string => refusalText({ because: 'inside-store', detail }, '/var/lib/st-imac');
  const what = 'a store or the state folder of this host; these are never backed up';
  t.is(told('/var/lib/st-imac'), `/var/lib/st-imac is ${what}`);
  t.is(told('/var/lib'), `/var/lib/st-imac lies in /var/lib, which is ${what}`);
});

import test from 'ava';
import { nearName, nearNames } from '../../src/membership/near-name.js';

test('a name is near that is two slips away, of four letters or fewer one', t => {
  const names = ['imac', 'mini', 'laptop'];
  for (const [written, meant] of [
    ['imca', 'imac'],
    ['imc', 'imac'],
    ['immac', 'imac'],
    ['amac', 'imac'],
    ['iamc2', 'imac'],
    ['mnii', 'mini'],
    ['mina', 'mini'],
    ['laotpo', 'laptop'],
    ['latop', 'laptop'],
    ['lap', undefined],
    ['latpopu2', undefined],
    ['mcai', undefined],
    ['', undefined],
  ] as const)
    t.is(nearName(written, names), meant, written);
  t.is(nearName('imac', []), undefined);
});

test('the nearest is meant, and the first of several', t => {
  t.is(nearName('laptop', ['lapto', 'laptop-', 'laptop']), 'laptop');
  t.is(nearName('pi3', ['pi1', 'pi2']), 'pi1');
});

test('what many names share counts for nothing', t => {
  const names = ['laboratory-pc-12-of-physics', 'laboratory-pc-21-of-physics'];
  t.is(nearName('laboratory-pc-1-of-physics', names), names[0]);
  t.is(nearName('laboratory-pc-21-of-physic', names), names[1]);
  t.is(nearName('laboratory-tv-3-of-physics', names), undefined);
  t.is(nearName('aab', ['aba']), 'aba');
});

test('of a text with many unknown names only the first twenty are looked for', t => {
  const near = nearNames();
  const found = Array.from({ length: 22 }, () => near('imca', ['imac']));
  t.is(found.filter(name => name === 'imac').length, 20);
  t.is(found.at(-1), undefined);
});

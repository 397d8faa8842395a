import test from 'ava';
import { nearName } from '../../src/membership/near-name.js';

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

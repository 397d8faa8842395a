import test from 'ava';
import { ConfigurationUse, type ConfigurationUseOptions } from '../../src/daemon/configuration-use.js';
import type { Membership } from '../../src/membership/membership.js';

test('a machine that is to go on as another host does nothing more in the name of the one that it was', t => {
  const membership: Pick<Membership, 'isOtherHost'> = { isOtherHost: true };
  const asked: PropertyKey[] = [];
  const options = new Proxy({ membership } as unknown as ConfigurationUseOptions, {
    get: (target, part) => {
      asked.push(part);
      return Reflect.get(target, part);
    },
  });
  new ConfigurationUse(options).begin();
  t.deepEqual(asked, ['membership']);
});

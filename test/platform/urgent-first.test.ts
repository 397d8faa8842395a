import test from 'ava';
import { UrgentFirst } from '../../src/platform/urgent-first.js';

function orderOf(queue: UrgentFirst<string>): string {
  let order = '';
  for (let row = queue.next(); row !== undefined; row = queue.next()) order += row.shift();
  return order;
}

test('what is urgent overtakes, and takes turns with all else while both wait', t => {
  const queue = new UrgentFirst<string>();
  for (const name of 'abcd') queue.push(name, {});
  for (const name of 'AB') queue.push(name, { isUrgent: true });
  t.is(orderOf(queue), 'AaBbcd');
  for (const name of 'ABC') queue.push(name, { isUrgent: true });
  t.is(orderOf(queue), 'ABC');
  queue.push('a', {});
  queue.push('A', { isUrgent: true });
  t.is(queue.clear().sort().join(''), 'Aa');
  t.is(queue.next(), undefined);
});

import test from 'ava';
import fc from 'fast-check';
import { decideServe, SERVED_MAX, SERVED_PER_PEER_MAX, type ServeView } from '../../src/core/serve.js';
import { law } from '../helpers/law.js';

const view = (change: Partial<ServeView> = {}): ServeView => ({
  purpose: 'grab',
  copiesWanted: 2,
  copies: 0,
  othersFetching: 0,
  served: 0,
  servedToAsker: 0,
  ...change,
});

test('N fetchers are served at once, and one more is told to come back', t => {
  t.is(decideServe(view({ othersFetching: 1 })), 'serve');
  t.is(decideServe(view({ othersFetching: 2 })), 'busy');
});

test('copies that are there and fetchers that are about to be count together', t => {
  t.is(decideServe(view({ copies: 1 })), 'serve');
  t.is(decideServe(view({ copies: 1, othersFetching: 1 })), 'busy');
  t.is(decideServe(view({ copies: 2 })), 'busy');
});

test('a repair is not turned away for copies that its asker may know to be dead', t => {
  t.is(decideServe(view({ purpose: 'repair', copies: 2 })), 'serve');
  t.is(decideServe(view({ purpose: 'repair', copies: 1, othersFetching: 1 })), 'busy');
  t.is(decideServe(view({ purpose: 'repair', copies: 2, othersFetching: 1 })), 'serve');
  t.is(decideServe(view({ purpose: 'repair', copies: 2, othersFetching: 2 })), 'busy');
});

test('a restore is always served', t => {
  t.is(decideServe(view({ purpose: 'restore', copies: 9, othersFetching: 9, served: SERVED_MAX })), 'serve');
});

test('both sides of the limit on what is served at once', t => {
  t.is(decideServe(view({ served: SERVED_MAX - 1 })), 'serve');
  t.is(decideServe(view({ served: SERVED_MAX })), 'busy');
});

test('both sides of the limit on what is served to one peer, so that it has not all places', t => {
  t.is(decideServe(view({ served: 4, servedToAsker: SERVED_PER_PEER_MAX - 1 })), 'serve');
  t.is(decideServe(view({ served: 4, servedToAsker: SERVED_PER_PEER_MAX })), 'busy');
  t.is(decideServe(view({ purpose: 'restore', served: 4, servedToAsker: SERVED_PER_PEER_MAX })), 'serve');
});

test('law: if all that are served become copies, there are never more than N of them', t => {
  law(
    t,
    fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 12 }), (copiesWanted, askers) => {
      let othersFetching = 0;
      for (let i = 0; i < askers; i += 1) {
        if (decideServe(view({ copiesWanted, othersFetching })) === 'serve') othersFetching += 1;
      }
      return othersFetching === Math.min(askers, copiesWanted);
    }),
  );
});

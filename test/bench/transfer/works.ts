/**
 * Works: what every tool does in a round, in this order, for a work may need what an earlier one has left. Specified by the
 * table of the transfer engine's goals; what is measured of each stands in figures.ts.
 */
import type { Home, Tree } from './home.js';
import type { Usage } from './meter.js';
import type { Side } from './side.js';

interface Work {
  readonly title: string;
  /** Works whose state it goes on from. */
  readonly needs: readonly WorkName[];
  /** What must be made for it. */
  readonly trees: readonly Tree[];
  readonly run: (side: Side, home: Home) => Promise<Usage>;
}

export type WorkName =
  | 'mixed'
  | 'restore'
  | 'small'
  | 'unchanged'
  | 'large'
  | 'changed'
  | 'interrupted'
  | 'replica'
  | 'renamed';

const firstCopy = (tree: Tree) => (side: Side, home: Home) => {
  home.moveIn(tree);
  return side.copy(tree);
};

export const WORKS: Readonly<Record<WorkName, Work>> = {
  mixed: { title: 'mixed home, first copy', needs: [], trees: ['mixed'], run: firstCopy('mixed') },
  restore: { title: 'mixed home, restored', needs: ['mixed'], trees: [], run: side => side.restore('mixed') },
  small: { title: 'small files, first copy', needs: [], trees: ['small'], run: firstCopy('small') },
  unchanged: {
    title: 'home + small, unchanged',
    needs: ['mixed', 'small'],
    trees: [],
    run: async side => {
      await side.know('both');
      return side.asShipped(() => side.copy('both'));
    },
  },
  large: { title: 'large file, first copy', needs: [], trees: ['large'], run: firstCopy('large') },
  changed: {
    title: 'large file, 1 % changed',
    needs: ['large'],
    trees: [],
    run: async (side, home) => {
      await home.changeLarge();
      return side.copy('large');
    },
  },
  interrupted: {
    title: 'film, interrupted',
    needs: [],
    trees: ['film'],
    run: (side, home) => {
      home.moveIn('film');
      // Half of what two replicas take.
      return side.copyInterrupted('film', home.extents.film.bytes);
    },
  },
  replica: { title: 'mixed home, third copy', needs: ['mixed'], trees: [], run: side => side.addReplica('mixed') },
  renamed: {
    title: 'album, folder renamed',
    needs: [],
    trees: ['album'],
    run: async (side, home) => {
      await side.widen();
      home.moveIn('album');
      await side.copy('album');
      home.renameAlbum();
      return side.asShipped(() => side.copy('album'));
    },
  },
};

/** Of these the figure is how long a user waits. */
export const AS_SHIPPED: readonly WorkName[] = ['unchanged', 'renamed'];

export const WORK_NAMES = Object.keys(WORKS) as WorkName[];

/** Those and all that they need, in order. */
export function withNeeds(wanted: readonly WorkName[]): WorkName[] {
  const all = new Set<WorkName>();
  const add = (name: WorkName): void => {
    all.add(name);
    for (const need of WORKS[name].needs) add(need);
  };
  for (const name of wanted) add(name);
  return WORK_NAMES.filter(name => all.has(name));
}

/** All that these works want made. */
export const treesOf = (names: readonly WorkName[]): Tree[] => names.flatMap(name => WORKS[name].trees);

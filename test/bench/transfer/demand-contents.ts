/** Demand contents: what was in a folder is in another one, read and hashed by a process of its own. */
import { contentsOf } from '../../helpers/count-copies.js';

/** @throws when something is not there */
export async function demandContents({ of, within }: { readonly of: string; readonly within: string }): Promise<void> {
  const [wanted, found] = [await contentsOf(of), await contentsOf(within)];
  const lost = [...wanted.keys()].filter(hash => !found.has(hash)).length;
  if (lost > 0) throw new Error(`${lost} of ${wanted.size} contents of ${of} are not in ${within}`);
}

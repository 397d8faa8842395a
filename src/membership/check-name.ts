/** Check name: validates the name of a cluster or a host, as a person typed it. */
import { ClusterError } from '../core/fault.js';
import { NAME_PATTERN } from '../core/ids.js';
import { NAME_ALLOWED } from './policy-schema.js';

/** @throws ClusterError BAD_NAME */
export function checkName(what: string, name: string): void {
  if (!NAME_PATTERN.test(name)) {
    throw new ClusterError(
      'BAD_NAME',
      `not a ${what}: ${JSON.stringify(name.slice(0, 80))}; allowed: ${NAME_ALLOWED}. Nothing was changed`,
      { blame: 'operator' },
    );
  }
}

/** From-store option: tells a command to use bare stores instead of the service. */
import { ClusterError } from '../core/fault.js';

export const FROM_STORE = [
  '--from-store <path...>',
  'use these store folders alone, without a service, a state folder or a key',
] as const;

export const SPEC_ON_STORES = 'with --from-store it may be left out where the stores have one source';

/** @throws ClusterError BAD_ARGUMENT */
export function needSpec(spec: string | undefined): string {
  if (spec !== undefined) return spec;
  throw new ClusterError('BAD_ARGUMENT', 'say which source; it may be left out only with --from-store', {
    blame: 'operator',
  });
}

/** Version: of this package, and of the Node.js that it needs, as package.json has them, which npm always ships. */
import { readFileSync } from 'node:fs';

export const packageVersion = (): string => readPackage().version ?? 'unknown';

/** As npm reads it: `>=20.19`. */
export const packageNodeRange = (): string => readPackage().engines?.node ?? '>=0';

function readPackage(): { readonly version?: string; readonly engines?: { readonly node?: string } } {
  // From build/src/cli.
  return JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
}

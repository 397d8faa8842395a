/** Version: of this package, as package.json has it, which npm always ships. */
import { readFileSync } from 'node:fs';

export function packageVersion(): string {
  // From build/src/cli.
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  const fields = JSON.parse(text) as { readonly version?: string };
  return fields.version ?? 'unknown';
}

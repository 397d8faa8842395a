/**
 * Admin request: a host's word that an admin key is on it. A person carries it, as one line, to a host that is an admin
 * already, which writes the key into the configuration. The secret never leaves the machine on which it was made.
 *
 * It is signed by the host's own key, so that nobody can put his key into the place of another's, and by the admin key
 * itself, so that nobody is written down with a key that he does not have. It gives no right by itself, and does not
 * expire: a host that was revoked is no member to whom it could belong.
 */
import { encode } from 'cborg';
import { ClusterError } from '../core/fault.js';
import { bytesOf, type ClusterId, type HostId, hexOf, parseClusterId, parseHostId } from '../core/ids.js';
import { type Signer, signable } from '../core/signed.js';
import { verify } from '../platform/ed25519.js';
import { bytesOfText, checkedText } from './checked-text.js';
import type { Configuration } from './configuration.js';
import { isMalformed, readFields, readSignable } from './fields.js';
import type { AdminKey, Identity } from './identity.js';
import { ID_BYTES, KEY_BYTES, SIGNATURE_BYTES } from './peer-key.js';

const PREFIX = 'scatterhoard-admin1-';
const DOMAIN = 'scatterhoard/admin-request/1';
/** Of what is signed, and of all of it: a tenth of what there is room for. */
const REQUEST_BYTES_MAX = 2048;
const LINE_CHARACTERS_MAX = 4096;

export interface AdminRequest {
  readonly cluster: ClusterId;
  readonly host: HostId;
  /** 64 hex digits. */
  readonly key: string;
  /** Whether the host that has this peer key has signed it. */
  readonly isSignedBy: (peerKey: Uint8Array) => boolean;
}

/** One line, no spaces. */
export function adminRequestLine(cluster: ClusterId, { host, signer }: Identity, admin: Signer): string {
  const body = signable(DOMAIN, [bytesOf(cluster), bytesOf(host), admin.publicKey]);
  return PREFIX + checkedText(encode([body, signer.sign(body), admin.sign(body)]));
}

/** Reads a line, with white space around or line breaks within. @throws ClusterError BAD_ADMIN_REQUEST */
export function readAdminRequest(line: string): AdminRequest {
  const text = line.slice(0, LINE_CHARACTERS_MAX + 1).replace(/\s+/g, '');
  const bytes = text.startsWith(PREFIX) ? bytesOfText(text.slice(PREFIX.length)) : undefined;
  if (bytes === undefined || text.length > LINE_CHARACTERS_MAX)
    throw badRequest("it is not the whole line that 'cluster admin request' printed");
  try {
    const outer = readFields('admin request', bytes, REQUEST_BYTES_MAX);
    const body = outer.bytesUpTo('body', REQUEST_BYTES_MAX);
    const byHost = outer.bytes('host signature', SIGNATURE_BYTES);
    const byAdmin = outer.bytes('admin signature', SIGNATURE_BYTES);
    outer.end();
    const fields = readSignable('admin request', DOMAIN, body, REQUEST_BYTES_MAX);
    const cluster = parseClusterId(fields.hex('cluster', ID_BYTES));
    const host = parseHostId(fields.hex('host', ID_BYTES));
    const key = fields.bytes('key', KEY_BYTES);
    fields.end();
    if (!verify(key, body, byAdmin)) throw badRequest('whoever made it does not have the key that it names');
    return { cluster, host, key: hexOf(key), isSignedBy: peerKey => verify(peerKey, body, byHost) };
  } catch (error) {
    if (isMalformed(error)) throw badRequest('its content is not that of such a line', error);
    throw error;
  }
}

/**
 * A copy of another host's key makes no second admin: whoever has that host has the key. If that host was revoked, its
 * key would be let in again, under another name.
 * @throws ClusterError KEY_OF_ANOTHER_HOST
 */
export function mustBeOwn(
  { signer, madeOn }: AdminKey,
  {
    self,
    configuration: { admins, members },
  }: { readonly self: HostId; readonly configuration: Pick<Configuration, 'admins' | 'members'> },
): void {
  const key = hexOf(signer.publicKey);
  const owner = admins.find(admin => admin.key === key)?.host ?? madeOn;
  if (owner === self) return;
  const whose = members.find(({ host }) => host === owner)?.name ?? 'another host';
  throw new ClusterError(
    'KEY_OF_ANOTHER_HOST',
    `the admin.key of this host is a copy of that of ${whose}, and a second admin needs a key of its own. Nothing was changed. Move admin.key out of the state folder, to where you keep such copies, and do this again`,
    { blame: 'operator' },
  );
}

export const badRequest = (why: string, cause?: unknown): ClusterError =>
  new ClusterError('BAD_ADMIN_REQUEST', `this makes nobody an admin: ${why}. Nothing was changed`, {
    blame: 'operator',
    cause,
  });

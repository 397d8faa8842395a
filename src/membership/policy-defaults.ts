/**
 * Policy defaults: the values that hold where a policy says nothing. For a source, the policy's own `defaults` come
 * first.
 *
 * Pure. Driven by parse-policy.ts, for a policy without errors.
 */
import type { HostSetting, KeepRules, Lending, Policy, RatesSetting } from './policy.js';
import type { KeepInput, PolicyInput } from './policy-schema.js';
import { timingFrom } from './policy-timing.js';

const DEFAULT_COPIES = 2;
const DEFAULT_EVERY_MS = 3_600_000;
const DEFAULT_JITTER_MS = 120_000;
const DEFAULT_RESERVE_PERCENT = 10;
const DEFAULT_BRAKE_PERCENT = 50;
const DEFAULT_HOOK_TIMEOUT_MS = 600_000;
const DEFAULT_KEEP: KeepRules = { last: 3, hourly: 24, daily: 7, weekly: 5, monthly: 12, yearly: 0 };

export function withDefaults(input: PolicyInput): Policy {
  const { defaults } = input;
  const hosts = new Map<string, HostSetting>();
  for (const [name, host] of Object.entries(input.hosts ?? {})) {
    hosts.set(name, {
      name,
      domain: host?.domain,
      roaming: host?.roaming ?? false,
      catalog: host?.catalog,
      addresses: host?.addresses ?? undefined,
      limits: {
        ...ratesOf(host?.limits),
        peers: new Map(Object.entries(host?.limits?.peers ?? {}).map(([peer, rates]) => [peer, ratesOf(rates)])),
      },
      stores: (host?.stores ?? []).map(({ path, name: storeName, limit, reserve, draining }) => ({
        path,
        name: storeName,
        lends: lending(limit, reserve),
        draining: draining ?? false,
      })),
      sources: Object.entries(host?.sources ?? {}).map(([sourceName, source]) => ({
        name: sourceName,
        path: source.path,
        copies: source.copies ?? defaults?.copies ?? DEFAULT_COPIES,
        schedule:
          source.at === undefined
            ? { kind: 'every', everyMs: source.every ?? defaults?.every ?? DEFAULT_EVERY_MS }
            : { kind: 'at', times: source.at },
        watch: source.watch ?? false,
        jitterMs: source.jitter ?? defaults?.jitter ?? DEFAULT_JITTER_MS,
        exclude: source.exclude ?? [],
        keep: resolveKeep(source.keep ?? defaults?.keep),
        holdDays: source.hold ?? defaults?.hold,
        brakePercent: source.brake ?? DEFAULT_BRAKE_PERCENT,
        hooks: {
          before: source.before,
          after: source.after,
          onFailure: source.onFailure,
          timeoutMs: source.hookTimeout ?? DEFAULT_HOOK_TIMEOUT_MS,
        },
        crossMounts: source.crossMounts ?? false,
      })),
    });
  }
  return {
    cluster: input.cluster,
    copies: defaults?.copies ?? DEFAULT_COPIES,
    hosts,
    timing: timingFrom(input.timing ?? {}),
  };
}

const ratesOf = (
  rates: { upload?: number | undefined; download?: number | undefined } | null | undefined,
): RatesSetting => ({
  uploadBytesPerS: rates?.upload,
  downloadBytesPerS: rates?.download,
});

function lending(
  limitBytes: number | undefined,
  reserve: { bytes: number } | { percent: number } | undefined,
): Lending {
  if (limitBytes !== undefined) return { kind: 'limit', bytes: limitBytes };
  if (reserve !== undefined && 'bytes' in reserve) return { kind: 'reserve', bytes: reserve.bytes };
  return { kind: 'reserve-share', percent: reserve?.percent ?? DEFAULT_RESERVE_PERCENT };
}

/** A given `keep` stands alone: kinds that it does not name are 0, as with restic. */
function resolveKeep(keep: KeepInput | undefined): KeepRules {
  if (keep === undefined) return DEFAULT_KEEP;
  const { last = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0 } = keep;
  return { last, hourly, daily, weekly, monthly, yearly };
}

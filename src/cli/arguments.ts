/**
 * Arguments: parses option values, or refuses one with the option's name, the value and what is allowed.
 */
import { InvalidArgumentError } from 'commander';
import { DURATION_ALLOWED, readDuration } from '../membership/policy-units.js';

export function durationArgument(text: string): number {
  const ms = readDuration(text);
  if (ms === undefined || ms === 0) throw new InvalidArgumentError(`allowed: ${DURATION_ALLOWED}`);
  return ms;
}

export function countArgument(text: string): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count < 1) throw new InvalidArgumentError('allowed: a whole number from 1');
  return count;
}

export function wholeNumberArgument(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('allowed: a whole number from 0');
  return Number(text);
}

/** A path in the policy is on the host that the policy names, so a relative one cannot be made absolute here. */
export function absolutePathArgument(text: string): string {
  if (!text.startsWith('/'))
    throw new InvalidArgumentError('allowed: an absolute path on that host, such as /srv/hoard');
  return text;
}

/** For options that may be given several times. */
export const collected = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Figure lines: a figure as every bench prints it, for programs (src/DESIGN.md, "What scripts may rely on") and for people. */
import type { Figure } from '../../sim/bench/figure.js';

/** Four digits: what comes after them is noise in every bench. */
const shown = ({ value }: Figure): number => Number(value.toPrecision(4));

export function jsonLine(measured: Figure): string {
  const { figure, unit, goal = null, holds = null } = measured;
  return JSON.stringify({ figure, value: shown(measured), unit, goal, holds });
}

export function textLine(measured: Figure, widths: { readonly figure: number; readonly unit: number }): string {
  const { figure, unit, goal, holds } = measured;
  const verdict = holds === undefined ? '' : holds ? 'holds' : 'MISSED';
  const against = goal === undefined ? '' : `goal ${goal}`;
  const words = [
    figure.padEnd(widths.figure),
    String(shown(measured)).padStart(8),
    unit.padEnd(widths.unit),
    against.padEnd(9),
    verdict,
  ];
  return words.join(' ').trimEnd();
}

/** Table: each tool's numbers side by side, for people. All lines keep within 80 columns. */
import { TOOLS } from './figures.js';
import type { Results } from './results.js';
import { WORK_NAMES, WORKS } from './works.js';

const WIDTHS = { work: 24, tool: 13, wall: 9, wire: 10, cpu: 9, memory: 9 };

/** Of the figures that stand below the table. */
export const FIGURE_WIDTHS = { figure: 47, unit: 5 };

export function tableLines(results: Results): string[] {
  const lines = [
    row({ work: 'work', tool: 'tool', wall: 'wall s', wire: 'wire MB', cpu: 'CPU s', memory: 'peak MB' }),
    '-'.repeat(Object.values(WIDTHS).reduce((sum, width) => sum + width + 1, -1)),
  ];
  for (const work of WORK_NAMES) {
    let { title } = WORKS[work];
    for (const tool of TOOLS) {
      const usage = results.of(tool, work);
      if (usage === undefined) continue;
      const { wallS, wireBytes, cpuS, peakBytes } = usage;
      lines.push(
        row({
          work: title,
          tool,
          wall: wallS.toFixed(2),
          wire: (wireBytes / 1e6).toFixed(1),
          cpu: cpuS.toFixed(2),
          memory: (peakBytes / 1e6).toFixed(0),
        }),
      );
      title = '';
    }
  }
  return lines;
}

function row({ work, tool, wall, wire, cpu, memory }: Readonly<Record<keyof typeof WIDTHS, string>>): string {
  return [
    work.padEnd(WIDTHS.work),
    tool.padEnd(WIDTHS.tool),
    wall.padStart(WIDTHS.wall),
    wire.padStart(WIDTHS.wire),
    cpu.padStart(WIDTHS.cpu),
    memory.padStart(WIDTHS.memory),
  ].join(' ');
}

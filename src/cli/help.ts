/**
 * `cluster help [COMMAND …]`: the help of a command, or of one below another (`help config add-store`). Commander's own
 * looks at one word alone, and has no message for one that is no command.
 */
import { Command } from 'commander';
import { nearName } from '../membership/near-name.js';

/** The `help` of a command that has others below it. */
export const helpBelow = (top: Command): Command =>
  new Command('help')
    .description('the help of a command')
    .argument('[command...]', 'its name; of one that is below another, both')
    .action((words: readonly string[]) => tellHelp(top, words));

function tellHelp(top: Command, words: readonly string[]): never {
  let found = top;
  for (const [at, word] of words.entries()) {
    const below = found.commands.find(command => namesOf(command).includes(word));
    if (below === undefined) return unknown(top, words.slice(0, at + 1), found.commands.flatMap(namesOf));
    found = below;
  }
  return found.help();
}

const namesOf = (command: Command): readonly string[] => [command.name(), ...command.aliases()];

/** In the words of Commander, which tells of an unknown command everywhere else. */
function unknown(top: Command, words: readonly string[], names: readonly string[]): never {
  const near = nearName(words.at(-1) ?? '', names);
  const meant = near === undefined ? '' : `\n(Did you mean ${[...words.slice(0, -1), near].join(' ')}?)`;
  return top.error(`error: unknown command '${words.join(' ')}'${meant}`);
}

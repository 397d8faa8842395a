/**
 * Policy document: reads the policy's text as YAML, before any of it is interpreted.
 *
 * The text also comes from peers, so only the parts of YAML that a policy needs are accepted: no anchors, aliases or
 * tags, and nothing else that lets a small text expand.
 */
import { type Document, isAlias, isNode, isScalar, type LineCounter, parseDocument, visit } from 'yaml';
import { keyText, type PolicyReport } from './policy-report.js';

/** Reads one YAML document of the core schema; prints and throws nothing. */
export function readDocument(text: string, lines?: LineCounter): Document.Parsed {
  return parseDocument(text, { prettyErrors: false, ...(lines === undefined ? {} : { lineCounter: lines }) });
}

/**
 * Rejects anchors, aliases, tags and keys that are not plain words: a policy needs none, and each lets a text mean more
 * than it shows.
 */
export function refuseMachinery(document: Document.Parsed, report: PolicyReport): void {
  visit(document, {
    Node(_, node) {
      if (isAlias(node))
        report.at(node.range?.[0] ?? 0, '', `aliases (*${node.source}) are not allowed; write the value out`);
      else if (node.anchor !== undefined) {
        report.at(node.range?.[0] ?? 0, '', `anchors (&${node.anchor}) are not allowed; write the value out`);
      } else if (node.tag !== undefined && !node.tag.startsWith('tag:yaml.org,2002:')) {
        report.at(node.range?.[0] ?? 0, '', `tags (${node.tag}) are not allowed`);
      }
    },
    Pair(_, pair) {
      const plain = isScalar(pair.key) && typeof pair.key.value === 'string';
      const offset = isNode(pair.key) ? (pair.key.range?.[0] ?? 0) : 0;
      // zod silently skips this one key, as it is not a safe property name.
      if (!plain || keyText(pair.key) === '__proto__')
        report.at(offset, '', 'this key is not allowed; keys are plain words (a number as a name wants quotes)');
    },
  });
}

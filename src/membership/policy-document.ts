/**
 * Policy document: the policy's text as YAML, before anything of it means something.
 *
 * The text comes from peers, too, so of YAML only what a policy needs is taken: no anchors, no aliases, no tags, and
 * nothing else that lets a small text grow.
 */
import { type Document, isAlias, isNode, isScalar, type LineCounter, parseDocument, visit } from 'yaml';
import { keyText, type PolicyReport } from './policy-report.js';

/** One YAML document of the core schema, with nothing printed and nothing thrown. */
export function readDocument(text: string, lines?: LineCounter): Document.Parsed {
  return parseDocument(text, { prettyErrors: false, ...(lines === undefined ? {} : { lineCounter: lines }) });
}

/** Anchors, aliases, tags and keys that are no plain words: a policy needs none, and each lets a text mean more than it shows. */
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
      // zod passes over this one key in silence, as it is no safe property name.
      if (!plain || keyText(pair.key) === '__proto__')
        report.at(offset, '', 'this key is not allowed; keys are plain words (a number as a name wants quotes)');
    },
  });
}

// O classificador do capítulo 6: o texto entre dois <|endoftext|>, e K notas no último token.

import { KVCache } from "./gpt.js";
import { nextTokenProbs } from "./sampling.js";

/** O texto entre dois <|endoftext|>, em até `limit` ids; do que não cabe fica o começo. */
export function encodeFramed(tokenizer, text, limit) {
  return [
    tokenizer.endId,
    ...tokenizer.encodeText(text).slice(0, limit - 2),
    tokenizer.endId,
  ];
}

/** `{label, probabilities: [{label, p}]}`, na ordem das classes. */
export function classify(gpt, tokenizer, labels, text) {
  const ids = encodeFramed(tokenizer, text, gpt.config.context_length);
  const probs = nextTokenProbs(gpt.head(gpt.features(ids, new KVCache(gpt.config))));
  const probabilities = labels.map((label, n) => ({ label, p: probs[n] }));
  const best = probabilities.reduce((a, b) => (b.p > a.p ? b : a));
  return { label: best.label, probabilities };
}

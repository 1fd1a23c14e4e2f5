// Escolher o próximo token: temperatura, top-k, top-p e repetição, como em `homellm.generation`.

function check({ temperature, topK, topP, repetitionPenalty }) {
  if (!(temperature >= 0 && temperature < Infinity)) throw new Error("a temperatura precisa ser 0 ou mais");
  if (topK != null && !(topK >= 1)) throw new Error("top-k precisa ser ao menos 1");
  if (topP != null && !(topP > 0 && topP <= 1)) throw new Error("top-p precisa estar entre 0 e 1");
  if (!(repetitionPenalty >= 1 && repetitionPenalty < Infinity)) {
    throw new Error("a penalidade de repetição precisa ser 1 ou mais");
  }
}

/** Os k ids de maior valor, do maior para o menor; no empate, o menor id. */
export function largest(values, k) {
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
  return order.slice(0, k);
}

/** Baixa os logits dos ids que já apareceram: divide os positivos, multiplica os outros. */
export function penalizeRepetition(logits, ids, penalty) {
  const out = Float32Array.from(logits);
  for (const id of new Set(ids)) out[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
  return out;
}

/** A distribuição de que se sorteia: logits (V,) → probabilidades (V,), que somam 1. */
export function nextTokenProbs(logits, { temperature = 1, topK = null, topP = null } = {}) {
  check({ temperature, topK, topP, repetitionPenalty: 1 });
  let highest = -Infinity;
  let best = 0;
  for (let i = 0; i < logits.length; i++) if (logits[i] > highest) [highest, best] = [logits[i], i];
  if (!Number.isFinite(highest)) throw new Error("os logits têm NaN ou infinito; os pesos estão estragados");
  const probs = new Float32Array(logits.length);
  if (temperature === 0) {
    probs[best] = 1;
    return probs;
  }
  const kept = topK != null && topK < logits.length ? largest(logits, topK) : logits.keys();
  let sum = 0;
  for (const i of kept) sum += probs[i] = Math.exp((logits[i] - highest) / temperature);
  for (let i = 0; i < probs.length; i++) probs[i] /= sum;
  if (topP != null && topP < 1) {
    let before = 0;
    sum = 0;
    for (const i of largest(probs, probs.length)) {
      const p = probs[i];
      if (before >= topP) probs[i] = 0;
      else sum += p;
      before += p;
    }
    for (let i = 0; i < probs.length; i++) probs[i] /= sum;
  }
  return probs;
}

/** O id em que cai `u`, de 0 a 1, na soma acumulada das probabilidades. */
export function draw(probs, u) {
  let sum = 0;
  let last = 0;
  for (let i = 0; i < probs.length; i++) {
    if (probs[i] === 0) continue;
    last = i;
    sum += probs[i];
    if (u < sum) return i;
  }
  return last; // a soma, arredondada, não chegou a u
}

/** Um gerador de uniformes em [0, 1): a mesma semente, os mesmos números (mulberry32). */
export function uniforms(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  };
}

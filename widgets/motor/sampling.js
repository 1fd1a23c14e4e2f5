// Escolher o próximo token: temperatura, top-k, top-p e repetição, como em
// `homellm.generation`.

function need(right, what) {
  if (!right) throw new Error(what);
}

/** Os k ids de maior valor, do maior para o menor; no empate, o menor id antes. */
export function largest(values, k) {
  const threshold = Float32Array.from(values).sort()[Math.max(0, values.length - k)];
  const kept = [];
  for (let id = 0; id < values.length; id++) if (values[id] >= threshold) kept.push(id);
  return kept.sort((a, b) => values[b] - values[a] || a - b).slice(0, k);
}

/** Baixa os logits dos ids que já apareceram: divide os positivos, multiplica os outros. */
export function penalizeRepetition(logits, ids, penalty) {
  need(
    penalty >= 1 && penalty < Infinity,
    "a penalidade de repetição precisa ser 1 ou mais",
  );
  const out = Float32Array.from(logits);
  for (const id of new Set(ids))
    out[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
  return out;
}

/** A distribuição de que se sorteia: logits (V,) → probabilidades (V,), que somam 1. */
export function nextTokenProbs(
  logits,
  { temperature = 1, topK = null, topP = null } = {},
) {
  need(
    temperature >= 0 && temperature < Infinity,
    "a temperatura precisa ser 0 ou mais",
  );
  need(topK == null || topK >= 1, "top-k precisa ser ao menos 1");
  need(
    topP == null || (topP > 0 && topP <= 1),
    "top-p precisa ser maior que 0 e no máximo 1",
  );
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  const highest = logits[best];
  const sound = Number.isFinite(highest) && !logits.some(Number.isNaN);
  need(sound, "os logits têm NaN ou infinito; os pesos estão estragados");
  const probs = new Float32Array(logits.length);
  if (temperature === 0) {
    probs[best] = 1;
    return probs;
  }
  const kept =
    topK != null && topK < logits.length ? largest(logits, topK) : logits.keys();
  let sum = 0;
  for (const i of kept) sum += probs[i] = Math.exp((logits[i] - highest) / temperature);
  for (let i = 0; i < probs.length; i++) probs[i] /= sum;
  if (topP != null && topP < 1) {
    let count = 0; // quantos dos mais prováveis já somam p
    let before = 0;
    for (const p of Float32Array.from(probs).sort().reverse()) {
      if (before >= topP) break;
      before += p;
      count++;
    }
    const group = largest(probs, count).map((i) => [i, probs[i] / before]);
    probs.fill(0);
    for (const [i, p] of group) probs[i] = p;
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

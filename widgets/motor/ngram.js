// O n-grama do capítulo 1: Kneser-Ney modificado sobre caracteres, com a conta de homellm/ngram.py. Sem DOM.

/** Quanto tirar de cada contagem; os descontos de Chen e Goodman (1999), por contagem: [0, d1, d2, d3+]. */
export function discounts(counts) {
  const n = new Float64Array(6);
  for (const count of counts) n[Math.min(count, 5)]++;
  const base = n[1] / Math.max(n[1] + 2 * n[2], 1);
  const table = [0];
  for (const j of [1, 2, 3]) {
    const estimate = n[j] && n[j + 1] ? j - ((j + 1) * base * n[j + 1]) / n[j] : j / 2;
    table.push(Math.max(estimate, 0.1)); // sobra massa para quem não foi visto
  }
  return table;
}

/** A posição de `key` em `keys`, ou a da primeira maior. */
function lowerBound(keys, key) {
  let low = 0, high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** De cada comprimento, de 1 a `order`: as chaves, crescentes, e as contagens (as de continuação, salvo no último). */
export function countNgrams(ids, order, vocabSize) {
  const tables = [];
  let rows = new Float64Array(ids.length + 1); // a linha do contexto que começa em cada posição
  for (let length = 1; length <= order; length++) {
    const grams = new Float64Array(ids.length - length + 1);
    for (let i = 0; i < grams.length; i++) grams[i] = rows[i] * vocabSize + ids[i + length - 1];
    const keys = grams.slice().sort().filter((key, i, sorted) => key !== sorted[i - 1]);
    const newRows = grams.map((key) => lowerBound(keys, key));
    const counts = new Float64Array(keys.length);
    const first = new Float64Array(keys.length); // a posição em que cada um apareceu primeiro
    for (let i = newRows.length - 1; i >= 0; i--) {
      counts[newRows[i]]++;
      first[newRows[i]] = i;
    }
    if (tables.length) { // cada n-grama novo é um vizinho à esquerda a mais para o seu final
      const shorter = tables.at(-1).counts.fill(0);
      for (const i of first) shorter[rows[i + 1]]++;
    }
    tables.push({ keys, counts });
    rows = newRows;
  }
  return tables;
}

export class NGram {
  constructor(order, vocabSize) {
    this.order = order;
    this.vocabSize = vocabSize;
    this.levels = [];
  }

  fit(ids) {
    const V = this.vocabSize;
    let contexts = 1; // o contexto vazio
    this.levels = countNgrams(ids, Math.min(this.order, ids.length), V).map(({ keys, counts }) => {
      const cut = discounts(counts);
      const total = new Float64Array(contexts), freed = new Float64Array(contexts);
      keys.forEach((key, i) => {
        const context = Math.floor(key / V);
        total[context] += counts[i];
        freed[context] += cut[Math.min(counts[i], 3)];
      });
      const direct = counts.map((count, i) =>
        (count - cut[Math.min(count, 3)]) / Math.max(total[Math.floor(keys[i] / V)], 1));
      const backoff = freed.map((mass, context) => (total[context] > 0 ? mass / total[context] : 1));
      contexts = keys.length;
      return { keys, direct, backoff };
    });
    return this;
  }

  /** A linha de um n-grama na tabela do comprimento dele; −1 se não foi visto. */
  row(gram) {
    let row = 0;
    for (let i = 0; i < gram.length; i++) {
      const { keys } = this.levels[i];
      const key = row * this.vocabSize + gram[i];
      row = lowerBound(keys, key);
      if (keys[row] !== key) return -1;
    }
    return row;
  }

  /** A probabilidade de cada id depois de `context`: (V,), soma 1, sem zeros. */
  probs(context) {
    const V = this.vocabSize;
    const p = new Float64Array(V).fill(1 / V);
    this.levels.slice(0, context.length + 1).forEach(({ keys, direct, backoff }, length) => {
      const row = this.row(context.slice(context.length - length)); // só os últimos ids contam
      if (row < 0) return; // contexto nunca visto: tudo fica com a ordem menor
      for (let id = 0; id < V; id++) p[id] *= backoff[row];
      for (let i = lowerBound(keys, row * V); keys[i] < (row + 1) * V; i++) p[keys[i] - row * V] += direct[i];
    });
    return p;
  }

  /** Os bits que cada id custa dados os anteriores: −log2 p. */
  surprisal(ids) {
    return Float64Array.from(ids, (id, t) => {
      const context = ids.slice(Math.max(0, t - this.order + 1), t);
      return -Math.log2(this.probs(context)[id]);
    });
  }

  /** Os próximos `n` ids; `random` dá um número de 0 a 1 por sorteio. */
  sample(n, context, { temperature = 1, random = Math.random } = {}) {
    const ids = Array.from(context);
    for (let i = 0; i < n; i++) {
      const p = heat(this.probs(ids.slice(Math.max(0, ids.length - this.order + 1))), temperature);
      ids.push(draw(p, random()));
    }
    return ids.slice(ids.length - n);
  }
}

/** As probabilidades elevadas a 1/τ, somando 1; τ = 0 deixa só a maior. */
export function heat(p, temperature) {
  const best = p.indexOf(Math.max(...p));
  if (temperature === 0) return p.map((_, i) => Number(i === best));
  const top = Math.log(p[best]);
  const weights = p.map((x) => Math.exp((Math.log(x) - top) / temperature));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
}

/** O id em que cai um dardo `u`, de 0 a 1, no segmento das probabilidades. */
export function draw(p, u) {
  let sum = 0;
  for (let id = 0; id < p.length; id++) {
    sum += p[id];
    if (u < sum) return id;
  }
  return p.length - 1;
}

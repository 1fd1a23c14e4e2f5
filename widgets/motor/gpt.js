// O GPT do capítulo 4, uma passada por vez. Formas: T posições novas, S ao todo (as do
// cache e as novas), C emb_dim, H cabeças, D = C / H, V vocabulário. O que passa de uma
// camada à outra é um Float64Array: assim o produto não converte cada número.

/**
 * y = W x + b, para cada um dos T vetores de x: (T, cols) → (T, rows).
 *
 * Quatro linhas de W e dois vetores por vez: cada número lido serve a mais de uma
 * conta. O último vetor sem par faz par consigo. As linhas são inteiros, e a escala de
 * cada uma só entra no fim da soma.
 */
export function linear(y, x, T, { rows, cols, data, scales }, bias) {
  for (let t = 0; t < T; t += 2) {
    const pair = Math.min(t + 1, T - 1);
    const u = x.subarray(t * cols, (t + 1) * cols);
    const v = x.subarray(pair * cols, (pair + 1) * cols);
    const [first, second] = [t * rows, pair * rows];
    let row = 0;
    for (; row + 3 < rows; row += 4) {
      const w0 = row * cols;
      const w1 = w0 + cols;
      const w2 = w1 + cols;
      const w3 = w2 + cols;
      let [u0, u1, u2, u3] = [0, 0, 0, 0];
      let [v0, v1, v2, v3] = [0, 0, 0, 0];
      for (let i = 0; i < cols; i++) {
        const a = data[w0 + i];
        const b = data[w1 + i];
        const c = data[w2 + i];
        const d = data[w3 + i];
        const ui = u[i];
        const vi = v[i];
        u0 += a * ui;
        u1 += b * ui;
        u2 += c * ui;
        u3 += d * ui;
        v0 += a * vi;
        v1 += b * vi;
        v2 += c * vi;
        v3 += d * vi;
      }
      y[first + row] = u0 * scales[row] + bias[row];
      y[first + row + 1] = u1 * scales[row + 1] + bias[row + 1];
      y[first + row + 2] = u2 * scales[row + 2] + bias[row + 2];
      y[first + row + 3] = u3 * scales[row + 3] + bias[row + 3];
      y[second + row] = v0 * scales[row] + bias[row];
      y[second + row + 1] = v1 * scales[row + 1] + bias[row + 1];
      y[second + row + 2] = v2 * scales[row + 2] + bias[row + 2];
      y[second + row + 3] = v3 * scales[row + 3] + bias[row + 3];
    }
    for (; row < rows; row++) {
      let [a, b] = [0, 0];
      for (let i = 0; i < cols; i++) {
        a += data[row * cols + i] * u[i];
        b += data[row * cols + i] * v[i];
      }
      y[first + row] = a * scales[row] + bias[row];
      y[second + row] = b * scales[row] + bias[row];
    }
  }
}

/** Média 0 e variância 1 em cada um dos T vetores, com ganho e viés: (T, C) → (T, C). */
export function layerNorm(y, x, T, { weight, bias }) {
  const C = weight.length;
  for (let start = 0; start < T * C; start += C) {
    let mean = 0;
    for (let i = 0; i < C; i++) mean += x[start + i];
    mean /= C;
    let variance = 0;
    for (let i = 0; i < C; i++) variance += (x[start + i] - mean) ** 2;
    const scale = 1 / Math.sqrt(variance / C + 1e-5);
    for (let i = 0; i < C; i++)
      y[start + i] = (x[start + i] - mean) * scale * weight[i] + bias[i];
  }
}

/** A ativação do GPT-2, na aproximação por tanh, no lugar. */
export function gelu(x) {
  const k = Math.sqrt(2 / Math.PI);
  for (let i = 0; i < x.length; i++) {
    const v = x[i];
    x[i] = 0.5 * v * (1 + Math.tanh(k * (v + 0.044715 * v * v * v)));
  }
}

/** Chaves e valores de cada bloco, (context_length, C) cada; `length` posições valem. */
export class KVCache {
  constructor({ n_layers, context_length, emb_dim }) {
    const table = () => new Float32Array(context_length * emb_dim);
    this.keys = Array.from({ length: n_layers }, table);
    this.values = Array.from({ length: n_layers }, table);
    this.length = 0;
  }
}

export class GPT {
  /** `tensors`: nome → vetor ou matriz, com os nomes que têm no pacote. */
  constructor(config, tensors) {
    const part = (name) => {
      const weight = tensors[`${name}.weight`] ?? tensors["token_embedding.weight"]; // a cabeça atada
      return { weight, bias: tensors[`${name}.bias`] ?? new Float32Array(weight.rows) };
    };
    this.config = config;
    this.tokens = tensors["token_embedding.weight"];
    this.positions = tensors["position_embedding.weight"];
    this.blocks = Array.from({ length: config.n_layers }, (_, n) => ({
      norm1: part(`blocks.${n}.norm1`),
      qkv: part(`blocks.${n}.attention.qkv`),
      proj: part(`blocks.${n}.attention.proj`),
      norm2: part(`blocks.${n}.norm2`),
      expand: part(`blocks.${n}.mlp.expand`),
      contract: part(`blocks.${n}.mlp.proj`),
    }));
    this.lastNorm = part("norm");
    this.output = part("head");
    this.params = Object.values(tensors).reduce(
      (sum, { data, length }) => sum + (data?.length ?? length),
      0,
    );
  }

  /**
   * O que sai do último bloco, normalizado, (T, C), de ids novos; `cache` guarda o que
   * veio antes.
   *
   * `onBlock(n, x)` vê a corrente residual, (T, C): n é 0 antes do primeiro bloco e,
   * depois de cada um, o número dele. `onAttention(n, h, t, weights)` vê os S pesos com
   * que a posição t olha. Com `causal` falso, cada posição olha também para as de depois.
   */
  features(ids, cache, { causal = true, onBlock, onAttention } = {}) {
    const { emb_dim: C, context_length, vocab_size } = this.config;
    const T = ids.length;
    const start = cache.length;
    if (!T) throw new Error("não há nenhum token; escreva alguma coisa");
    if (start + T > context_length) {
      const total = `são ${start + T} tokens, e este modelo lê até ${context_length}`;
      throw new Error(`${total}; encurte o texto`);
    }
    const x = new Float64Array(T * C);
    for (let t = 0; t < T; t++) {
      const id = ids[t];
      if (!(Number.isInteger(id) && id >= 0 && id < vocab_size)) {
        throw new Error(`o id ${id} não está no vocabulário`);
      }
      for (let i = 0; i < C; i++) {
        const token = this.tokens.data[id * C + i] * this.tokens.scales[id];
        const place = start + t;
        const position =
          this.positions.data[place * C + i] * this.positions.scales[place];
        x[t * C + i] = token + position;
      }
    }
    onBlock?.(0, x);
    const part = new Float64Array(T * C);
    const mixed = new Float64Array(T * C);
    const qkv = new Float64Array(T * 3 * C);
    const wide = new Float64Array(T * 4 * C);
    this.blocks.forEach((block, n) => {
      layerNorm(part, x, T, block.norm1);
      linear(qkv, part, T, block.qkv.weight, block.qkv.bias);
      this.attend(mixed, qkv, T, n, cache, causal, onAttention);
      linear(part, mixed, T, block.proj.weight, block.proj.bias);
      for (let i = 0; i < x.length; i++) x[i] += part[i];
      layerNorm(part, x, T, block.norm2);
      linear(wide, part, T, block.expand.weight, block.expand.bias);
      gelu(wide);
      linear(part, wide, T, block.contract.weight, block.contract.bias);
      for (let i = 0; i < x.length; i++) x[i] += part[i];
      onBlock?.(n + 1, x);
    });
    cache.length = start + T;
    return this.norm(x);
  }

  /** A mistura dos valores, (T, C), das consultas, chaves e valores novos, (T, 3C). */
  attend(mixed, qkv, T, n, cache, causal, onAttention) {
    const { emb_dim: C, n_heads: H } = this.config;
    const D = C / H;
    const start = cache.length;
    const keys = cache.keys[n];
    const values = cache.values[n];
    for (let t = 0; t < T; t++) {
      keys.set(qkv.subarray((3 * t + 1) * C, (3 * t + 2) * C), (start + t) * C);
      values.set(qkv.subarray((3 * t + 2) * C, (3 * t + 3) * C), (start + t) * C);
    }
    mixed.fill(0);
    for (let t = 0; t < T; t++) {
      const weights = new Float64Array(causal ? start + t + 1 : start + T);
      for (let h = 0; h < H; h++) {
        const q = 3 * t * C + h * D;
        let highest = -Infinity;
        for (let s = 0, k = h * D; s < weights.length; s++, k += C) {
          let dot = 0;
          for (let i = 0; i < D; i++) dot += qkv[q + i] * keys[k + i];
          weights[s] = dot / Math.sqrt(D);
          highest = Math.max(highest, weights[s]);
        }
        let sum = 0;
        for (let s = 0; s < weights.length; s++)
          sum += weights[s] = Math.exp(weights[s] - highest);
        const out = t * C + h * D;
        for (let s = 0, v = h * D; s < weights.length; s++, v += C) {
          weights[s] /= sum;
          for (let i = 0; i < D; i++) mixed[out + i] += weights[s] * values[v + i];
        }
        onAttention?.(n, h, t, weights);
      }
    }
  }

  /** A última normalização, (T, C) → (T, C). */
  norm(x) {
    const y = new Float64Array(x.length);
    layerNorm(y, x, x.length / this.config.emb_dim, this.lastNorm);
    return y;
  }

  /** Os logits, (V,), da última posição de `features`. */
  head(features) {
    const logits = new Float32Array(this.output.weight.rows);
    linear(
      logits,
      features.subarray(-this.config.emb_dim),
      1,
      this.output.weight,
      this.output.bias,
    );
    return logits;
  }
}

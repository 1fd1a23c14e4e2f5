// O GPT do capítulo 4, uma passada por vez. Formas: T posições novas, S ao todo (as do cache e as
// novas), C emb_dim, H cabeças, D = C / H, V vocabulário. Uma matriz é um Float32Array, linha a linha.

/** y = W x + b, para cada um dos T vetores de x, (T, n) → (T, m). Quatro linhas de W por vez. */
export function linear(y, x, T, weight, bias, n, m) {
  for (let t = 0; t < T; t++) {
    const xs = t * n;
    const ys = t * m;
    let row = 0;
    for (; row + 3 < m; row += 4) {
      const w0 = row * n;
      const w1 = w0 + n;
      const w2 = w1 + n;
      const w3 = w2 + n;
      let [a, b, c, d] = [0, 0, 0, 0];
      for (let i = 0; i < n; i++) {
        const v = x[xs + i];
        a += weight[w0 + i] * v;
        b += weight[w1 + i] * v;
        c += weight[w2 + i] * v;
        d += weight[w3 + i] * v;
      }
      y[ys + row] = a;
      y[ys + row + 1] = b;
      y[ys + row + 2] = c;
      y[ys + row + 3] = d;
    }
    for (; row < m; row++) {
      let a = 0;
      for (let i = 0; i < n; i++) a += weight[row * n + i] * x[xs + i];
      y[ys + row] = a;
    }
    if (bias) for (row = 0; row < m; row++) y[ys + row] += bias[row];
  }
}

/** Média 0 e variância 1 em cada vetor, com ganho e viés: (T, C) → (T, C). */
export function layerNorm(y, x, T, weight, bias) {
  const C = weight.length;
  for (let t = 0; t < T; t++) {
    const start = t * C;
    let mean = 0;
    for (let i = 0; i < C; i++) mean += x[start + i];
    mean /= C;
    let variance = 0;
    for (let i = 0; i < C; i++) variance += (x[start + i] - mean) ** 2;
    const scale = 1 / Math.sqrt(variance / C + 1e-5);
    for (let i = 0; i < C; i++) y[start + i] = (x[start + i] - mean) * scale * weight[i] + bias[i];
  }
}

/** A ativação do GPT-2, na aproximação por tanh, no lugar. */
export function gelu(x, size) {
  const k = Math.sqrt(2 / Math.PI);
  for (let i = 0; i < size; i++) {
    const v = x[i];
    x[i] = 0.5 * v * (1 + Math.tanh(k * (v + 0.044715 * v * v * v)));
  }
}

/** Chaves e valores que cada bloco já calculou: (context_length, C) cada. */
export class KVCache {
  constructor({ n_layers, context_length, emb_dim }) {
    const table = () => new Float32Array(context_length * emb_dim);
    this.keys = Array.from({ length: n_layers }, table);
    this.values = Array.from({ length: n_layers }, table);
    this.length = 0;
  }
}

export class GPT {
  constructor(config, tensors) {
    this.config = config;
    this.tensors = tensors;
    this.headWeight = tensors["head.weight"] ?? tensors["token_embedding.weight"];
    this.headBias = tensors["head.bias"]; // só o classificador a tem
    this.outputs = this.headWeight.length / config.emb_dim;
  }

  get params() {
    return Object.values(this.tensors).reduce((sum, tensor) => sum + tensor.length, 0);
  }

  /**
   * O que sai do último bloco, normalizado, (T, C), de ids novos; `cache` guarda o que veio antes.
   * `onBlock(block, x)` vê a corrente residual, (T, C), antes do primeiro bloco (block = 0) e depois de
   * cada um; `onAttention(block, head, t, weights, S)`, os S pesos da posição t. Com `causal` falso,
   * cada posição olha também para as de depois.
   */
  features(ids, cache, { causal = true, onBlock, onAttention } = {}) {
    const { emb_dim: C, n_layers, context_length, vocab_size } = this.config;
    const T = ids.length;
    const start = cache.length;
    if (!T) throw new Error("não há nenhum id; escreva alguma coisa");
    if (start + T > context_length) {
      throw new Error(`são ${start + T} tokens, e este modelo lê até ${context_length}; encurte o texto`);
    }
    const tokens = this.tensors["token_embedding.weight"];
    const positions = this.tensors["position_embedding.weight"];
    const x = new Float32Array(T * C);
    for (let t = 0; t < T; t++) {
      const id = ids[t];
      if (!(id >= 0 && id < vocab_size)) throw new Error(`o id ${id} não está no vocabulário`);
      for (let i = 0; i < C; i++) x[t * C + i] = tokens[id * C + i] + positions[(start + t) * C + i];
    }
    onBlock?.(0, x);
    const normed = new Float32Array(T * C);
    const wide = new Float32Array(T * 4 * C); // as três projeções, e depois a MLP
    const mixed = new Float32Array(T * C);
    for (let block = 0; block < n_layers; block++) {
      const w = (name) => this.tensors[`blocks.${block}.${name}`];
      layerNorm(normed, x, T, w("norm1.weight"), w("norm1.bias"));
      linear(wide, normed, T, w("attention.qkv.weight"), w("attention.qkv.bias"), C, 3 * C);
      this.attend(mixed, wide, T, block, cache, causal, onAttention);
      linear(normed, mixed, T, w("attention.proj.weight"), w("attention.proj.bias"), C, C);
      for (let i = 0; i < T * C; i++) x[i] += normed[i];
      layerNorm(normed, x, T, w("norm2.weight"), w("norm2.bias"));
      linear(wide, normed, T, w("mlp.expand.weight"), w("mlp.expand.bias"), C, 4 * C);
      gelu(wide, T * 4 * C);
      linear(normed, wide, T, w("mlp.proj.weight"), w("mlp.proj.bias"), 4 * C, C);
      for (let i = 0; i < T * C; i++) x[i] += normed[i];
      onBlock?.(block + 1, x);
    }
    cache.length = start + T;
    return this.norm(x);
  }

  /** A última normalização, (T, C) → (T, C). */
  norm(x) {
    const y = new Float32Array(x.length);
    layerNorm(y, x, x.length / this.config.emb_dim, this.tensors["norm.weight"], this.tensors["norm.bias"]);
    return y;
  }

  /** Os logits, (V,), de uma posição de `features`; a última, se não se diz qual. */
  head(features, t = features.length / this.config.emb_dim - 1) {
    const C = this.config.emb_dim;
    const logits = new Float32Array(this.outputs);
    linear(logits, features.subarray(t * C, (t + 1) * C), 1, this.headWeight, this.headBias, C, this.outputs);
    return logits;
  }

  /** A mistura dos valores, (T, C), de consultas, chaves e valores novos, (T, 3C). */
  attend(mixed, qkv, T, block, cache, causal, onAttention) {
    const { emb_dim: C, n_heads: H } = this.config;
    const D = C / H;
    const start = cache.length;
    const keys = cache.keys[block];
    const values = cache.values[block];
    for (let t = 0; t < T; t++) {
      keys.set(qkv.subarray(t * 3 * C + C, t * 3 * C + 2 * C), (start + t) * C);
      values.set(qkv.subarray(t * 3 * C + 2 * C, (t + 1) * 3 * C), (start + t) * C);
    }
    const weights = new Float32Array(start + T);
    const scale = 1 / Math.sqrt(D);
    mixed.fill(0, 0, T * C);
    for (let t = 0; t < T; t++) {
      const S = causal ? start + t + 1 : start + T;
      for (let h = 0; h < H; h++) {
        const q = t * 3 * C + h * D;
        let highest = -Infinity;
        for (let s = 0; s < S; s++) {
          const k = s * C + h * D;
          let dot = 0;
          for (let i = 0; i < D; i++) dot += qkv[q + i] * keys[k + i];
          weights[s] = dot * scale;
          if (weights[s] > highest) highest = weights[s];
        }
        let sum = 0;
        for (let s = 0; s < S; s++) sum += weights[s] = Math.exp(weights[s] - highest);
        const out = t * C + h * D;
        for (let s = 0; s < S; s++) {
          const weight = (weights[s] /= sum);
          const v = s * C + h * D;
          for (let i = 0; i < D; i++) mixed[out + i] += weight * values[v + i];
        }
        onAttention?.(block, h, t, weights, S);
      }
    }
  }
}

// O arquivo que `homellm.web` escreve: oito letras, o tamanho do cabeçalho, o cabeçalho em JSON e os
// tensores. As matrizes vêm em int8, com uma escala por linha, e aqui voltam a ser Float32Array.

const MAGIC = "HOMELLM\n";
const VERSION = 1;

const broken = (why) => new Error(`o arquivo do modelo está incompleto ou estragado (${why}); baixe-o de novo`);

/** Cabeçalho e bytes dos tensores de um arquivo inteiro. */
function split(buffer) {
  const bytes = new Uint8Array(buffer);
  if (String.fromCharCode(...bytes.subarray(0, 8)) !== MAGIC) {
    throw new Error("isto não é o arquivo de um modelo do livro; use o que export_web escreve");
  }
  if (bytes.length < 12) throw broken("só tem o começo");
  const start = 12 + new DataView(buffer).getUint32(8, true);
  if (start > bytes.length) throw broken("falta parte do cabeçalho");
  let header;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(12, start)));
  } catch {
    throw broken("o cabeçalho não é JSON");
  }
  if (header.version !== VERSION) {
    throw new Error(`o arquivo é da versão ${header.version}, e esta página lê a ${VERSION}; exporte-o de novo`);
  }
  if (bytes.length - start !== header.bytes) {
    throw broken(`são ${bytes.length - start} bytes de pesos, e deviam ser ${header.bytes}`);
  }
  return { header, start };
}

/** Um tensor: cópia em Float32Array, com as linhas multiplicadas pela escala de cada uma. */
function read(buffer, start, { shape, offset, scales }) {
  const [rows, cols] = shape.length === 2 ? shape : [1, shape[0]];
  if (scales === undefined) return new Float32Array(buffer.slice(start + offset, start + offset + 4 * cols));
  const scale = new Float32Array(buffer.slice(start + scales, start + scales + 4 * rows));
  const quantized = new Int8Array(buffer, start + offset, rows * cols);
  const out = new Float32Array(rows * cols);
  for (let row = 0, i = 0; row < rows; row++) {
    for (const end = i + cols; i < end; i++) out[i] = quantized[i] * scale[row];
  }
  return out;
}

/** O modelo de um arquivo: `{header, tensors}`, os tensores por nome, em Float32Array. */
export function readModel(buffer) {
  const { header, start } = split(buffer);
  const tensors = {};
  for (const [name, about] of Object.entries(header.tensors)) tensors[name] = read(buffer, start, about);
  return { header, tensors };
}

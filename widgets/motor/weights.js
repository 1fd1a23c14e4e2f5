// O arquivo que `homellm.web` escreve: oito letras, o tamanho do cabeçalho, o cabeçalho
// em JSON e os tensores. As matrizes vêm em int8, com uma escala por linha, e assim
// ficam: cada produto as usa como estão.

const MAGIC = "HOMELLM\n";
const VERSION = 1;

const broken = (why) =>
  new Error(
    `o arquivo do modelo está incompleto ou estragado (${why}); baixe-o de novo`,
  );

/** Cabeçalho e bytes dos tensores de um arquivo inteiro. */
function split(buffer) {
  const bytes = new Uint8Array(buffer);
  if (String.fromCharCode(...bytes.subarray(0, 8)) !== MAGIC) {
    throw new Error(
      "isto não é o arquivo de um modelo do livro; use o que export_web escreve",
    );
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
    const versions = `o arquivo é da versão ${header.version}, e esta página lê a ${VERSION}`;
    throw new Error(`${versions}; exporte-o de novo`);
  }
  if (bytes.length - start !== header.bytes) {
    throw broken(
      `são ${bytes.length - start} bytes de pesos, e deviam ser ${header.bytes}`,
    );
  }
  return { header, start };
}

/**
 * Um vetor, em Float32Array, ou uma matriz, `{rows, cols, data, scales}`: os inteiros,
 * e a escala de cada linha.
 */
function read(buffer, start, { shape, offset, scales }) {
  const floats = (at, size) =>
    new Float32Array(buffer.slice(start + at, start + at + 4 * size));
  const [rows, cols] = shape;
  if (scales === undefined) return floats(offset, rows);
  return {
    rows,
    cols,
    data: new Int8Array(buffer, start + offset, rows * cols),
    scales: floats(scales, rows),
  };
}

/** O modelo de um arquivo: `{header, tensors}`, os tensores por nome. */
export function readModel(buffer) {
  const { header, start } = split(buffer);
  const tensors = {};
  for (const [name, about] of Object.entries(header.tensors))
    tensors[name] = read(buffer, start, about);
  return { header, tensors };
}

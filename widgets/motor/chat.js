// O formato da conversa e a janela de turnos, como em `homellm.instruction`. Um turno é
// um par [usuário, assistente]; o assistente do último é null: a vez é do modelo.

export const SYSTEM = "<|sistema|>";
export const USER = "<|usuario|>";
export const ASSISTANT = "<|assistente|>";

const mark = (tokenizer, name) =>
  name in tokenizer.specials ? [tokenizer.specials[name]] : tokenizer.encode(name);

/** Os ids de uma conversa. Uma marca escrita numa fala é texto comum. */
export function encodeConversation(tokenizer, turns, system = "") {
  const ids = system
    ? [...mark(tokenizer, SYSTEM), ...tokenizer.encodeText(system)]
    : [];
  for (const [user, assistant] of turns) {
    ids.push(
      ...mark(tokenizer, USER),
      ...tokenizer.encodeText(user),
      ...mark(tokenizer, ASSISTANT),
    );
    if (assistant != null)
      ids.push(...tokenizer.encodeText(assistant), tokenizer.endId);
  }
  return ids;
}

/** Os últimos turnos cujos ids, com a linha de sistema, não passam de `limit`. */
export function fitTurns(tokenizer, turns, system, limit) {
  let size = encodeConversation(tokenizer, [], system).length;
  let first = turns.length;
  while (first > 0) {
    size += encodeConversation(tokenizer, turns.slice(first - 1, first)).length;
    if (size > limit) break;
    first--;
  }
  if (first === turns.length) {
    throw new Error(
      `a última mensagem tem ${size} tokens, e cabem ${limit}; encurte-a`,
    );
  }
  return turns.slice(first);
}

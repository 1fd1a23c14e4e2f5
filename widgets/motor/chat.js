// O formato da conversa e a janela de turnos, como em `homellm.instruction`. Um turno é
// um par [usuário, assistente]; o assistente do último é null: a vez é do modelo.

export const SYSTEM = "<|sistema|>";
export const USER = "<|usuario|>";
export const ASSISTANT = "<|assistente|>";

const mark = (tokenizer, name) =>
  name in tokenizer.specials ? [tokenizer.specials[name]] : tokenizer.encode(name);

/**
 * Os ids de uma conversa e, para cada um, se é o assistente quem o escreve. Uma marca
 * escrita numa fala é texto comum.
 */
export function markConversation(tokenizer, turns, system = "") {
  const ids = [];
  const written = [];
  const add = (part, byAssistant) => {
    ids.push(...part);
    written.push(...part.map(() => byAssistant));
  };
  const text = (said) => tokenizer.encodeText(said);
  if (system) add([...mark(tokenizer, SYSTEM), ...text(system)], false);
  for (const [user, assistant] of turns) {
    add([...mark(tokenizer, USER), ...text(user), ...mark(tokenizer, ASSISTANT)], false);
    if (assistant != null) add([...text(assistant), tokenizer.endId], true);
  }
  return { ids, written };
}

/** Só os ids. */
export const encodeConversation = (tokenizer, turns, system) =>
  markConversation(tokenizer, turns, system).ids;

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

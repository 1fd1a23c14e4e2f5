// O Worker em que o modelo vive: recebe {id, method, args} e responde {id, result},
// {id, token} ou {id, error}.

import { Model } from "./motor/engine.js";

const STREAMED = ["stream", "chat", "contributions"];
const stopped = new Set();
let model;

async function answer({ id, method, args }) {
  if (method === "open") {
    model = new Model(args[0]);
    return model.about;
  }
  if (!STREAMED.includes(method)) return model[method](...args);
  const [input, options] = args;
  return model[method](
    input,
    options,
    (token) => postMessage({ id, token }),
    () => stopped.has(id),
  );
}

addEventListener("message", async ({ data }) => {
  if (data.stop) {
    stopped.add(data.stop);
    return;
  }
  try {
    postMessage({ id: data.id, result: await answer(data) });
  } catch (error) {
    postMessage({ id: data.id, error: error.message });
  }
  stopped.delete(data.id);
});

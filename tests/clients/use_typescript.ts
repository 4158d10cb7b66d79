// A program that uses the generated types with openapi-fetch; run by test_generated.py.
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

declare const process: { env: Record<string, string | undefined>; stdout: { write(text: string): void } };

const api = createClient<paths>({
  baseUrl: process.env.OFFHOOK_URL,
  headers: { Authorization: `Bearer ${process.env.OFFHOOK_API_KEY}` },
});

function there<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

const { assistant } = there(
  await api.POST("/assistant", { body: { name: "Reception", prompt: "You answer for a bike shop." } }),
);
const { call } = there(
  await api.POST("/call", {
    body: {
      phone_number: "+12025550123",
      assistant_id: assistant.id,
      scheduled_at: "2099-03-02T15:00:00Z",
      metadata: { order: "4711" },
    },
  }),
);
const { calls } = there(await api.GET("/call", { params: { query: { limit: 10 } } }));

const { error, response } = await api.POST("/call", { body: { phone_number: "12" } });
const code: components["schemas"]["ErrorCode"] = "bad_phone_number";
if (error?.code !== code) throw new Error(JSON.stringify(error));
// @ts-expect-error: an order has no such field
const wrong: components["schemas"]["PlaceCall"] = { phone_numbr: "+12025550123" };

process.stdout.write(
  JSON.stringify({
    assistant: assistant.id,
    call: call.id,
    listed: calls.map((each) => each.id),
    status: response.status,
    code: error.code,
    field: error.field,
    wrong: wrong !== undefined,
  }),
);

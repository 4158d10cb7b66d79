// A session is asked for: of the control plane with a public key, or of another URL that answers alike.
import { Refusal, type Trouble } from "./words";

export interface Session {
  token: string;
  livekit_url: string;
  recording: boolean;
}

const BY_CODE: Record<string, Trouble> = {
  session_limit_reached: "limit-reached",
  too_many_requests: "limit-reached",
  busy: "agent-busy",
  assistant_unavailable: "not-available",
  wrong_origin: "not-set-up",
  unknown_public_key: "not-set-up",
  assistant_not_allowed: "not-set-up",
};

/** Return a new session; throws a `Refusal`. */
export async function startSession(url: string, assistantId: string): Promise<Session> {
  let answer: Response;
  try {
    answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ assistant_id: assistantId }),
      credentials: "same-origin",
    });
  } catch (error) {
    throw new Refusal("server-away", String(error));
  }
  const told = (await answer.json().catch(() => ({}))) as Partial<Session> & { code?: string; detail?: string };
  // Only to whoever may know is it told what the assistant lacks: on the try-it page.
  if (told.code === "conflict") throw new Refusal("not-available", told.detail, told.detail);
  if (!answer.ok) {
    throw new Refusal(BY_CODE[told.code ?? ""] ?? (answer.status < 500 ? "not-set-up" : "server-away"), told.detail);
  }
  if (!told.token || !told.livekit_url) throw new Refusal("server-away", "the answer holds no token");
  return { token: told.token, livekit_url: told.livekit_url, recording: told.recording === true };
}

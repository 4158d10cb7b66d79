// Where the person types instead of speaking: the agent answers aloud, in the same conversation.
import { type Room, RpcError } from "livekit-client";
import { TEXT } from "./words";

const METHOD = "offhook.type";
const MOST_CHARACTERS = 1000;
const TOO_LONG = 2001;
const TOO_MANY = 2002;

export class Chat {
  readonly element = document.createElement("form");
  private input = document.createElement("input");
  private button = document.createElement("button");

  /** `tell` shows the person what is wrong; empty: nothing any more. */
  constructor(
    private room: () => Room | undefined,
    private tell: (words: string) => void,
  ) {
    this.element.className = "chat";
    this.input.type = "text";
    this.input.maxLength = MOST_CHARACTERS;
    this.input.autocomplete = "off";
    this.input.enterKeyHint = "send";
    this.input.placeholder = TEXT.message;
    this.input.setAttribute("aria-label", TEXT.message);
    this.button.type = "submit";
    this.button.textContent = TEXT.send;
    this.element.append(this.input, this.button);
    this.element.hidden = true;
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
  }

  show(): void {
    this.element.hidden = false;
  }

  /** The conversation is over. What was not sent stays in the box for the next one: in words, or empty. */
  close(): string {
    this.element.hidden = true;
    return this.input.value.trim() && TEXT.unsent;
  }

  /** Send what is typed; it leaves the box once the agent has it. */
  private async send(): Promise<void> {
    const text = this.input.value;
    if (!text.trim() || this.button.disabled) return;
    this.button.disabled = true; // one at a time: they keep their order
    this.tell("");
    try {
      await this.deliver(text);
      if (this.input.value === text) this.input.value = "";
    } catch (error) {
      const code = error instanceof RpcError ? error.code : 0;
      if (!this.element.hidden) this.tell(code === TOO_LONG ? TEXT.tooLong : code === TOO_MANY ? TEXT.tooMany : TEXT.notSent);
      console.info("offhook-call: a message was not taken", String(error));
    } finally {
      this.button.disabled = false;
    }
  }

  private async deliver(payload: string): Promise<void> {
    const room = this.room();
    const agent = [...(room?.remoteParticipants.values() ?? [])].find((each) => each.isAgent);
    if (!room || !agent) throw new Error("no agent is in the room");
    await room.localParticipant.performRpc({ destinationIdentity: agent.identity, method: METHOD, payload });
  }
}

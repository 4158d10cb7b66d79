// What the person reads. Each trouble says what happened and what to do.

export const TROUBLE = {
  "microphone-denied":
    "The microphone is blocked for this page. Allow it beside the address of the page or in the settings of your browser, then start again.",
  "microphone-missing": "No microphone was found. Connect one, then start again.",
  "microphone-busy":
    "The microphone cannot be used now; another program may have it. Close that program, then start again.",
  "page-insecure":
    "Browsers give the microphone to secure pages only. Open this page with https:// at the front of its address.",
  "server-away":
    "The server cannot be reached, or it does not let this page in. Check your connection and start again in a moment.",
  "limit-reached": "Too many conversations were started from here. Try again later.",
  "agent-busy": "Nobody is free to talk with you now. Start again in a moment.",
  "not-available": "This conversation is not available now. Try again later.",
  "not-set-up": "This page is not set up for conversations with this assistant. Tell whoever runs the page.",
  "connection-lost": "The connection was lost, and the conversation is over. Check your network, then start again.",
  "other-tab": "The conversation goes on in another tab.",
} as const;

export type Trouble = keyof typeof TROUBLE;

export const STATUS = {
  idle: "",
  asking: "Waiting for the microphone. Allow it if your browser asks.",
  connecting: "Connecting …",
  waiting: "Connected. One moment …",
  talking: "You can speak now.",
  colleague: "You are talking with a colleague.",
  reconnecting: "The connection is interrupted. Trying to get it back …",
  ended: "The conversation is over.",
} as const;

export type Phase = keyof typeof STATUS;

export const QUALITY: Record<string, string> = {
  excellent: "Connection: good",
  good: "Connection: good",
  poor: "Connection: weak",
  lost: "Connection: interrupted",
};

export const TEXT = {
  start: "Start talking",
  again: "Talk again",
  retry: "Try again",
  end: "End",
  mute: "Mute",
  unmute: "Unmute",
  muted: "Your microphone is muted.",
  unmuted: "Your microphone is on.",
  recorded: "This conversation is recorded.",
  sound: "Turn on sound",
  soundOff: "Your browser keeps the sound off until you tap.",
  captions: "Captions",
  you: "You",
  devices: "Devices",
  microphone: "Microphone",
  loudspeaker: "Loudspeaker",
  message: "Type a message",
  send: "Send",
  notSent: "Your message was not sent. Check your connection, then send it again.",
  unsent: "Your last message was not sent. It is kept for the next conversation.",
  tooLong: "Your message is too long. Shorten it, then send it again.",
  tooMany: "You have sent many messages. Wait a moment, then send it again.",
  microphoneLost: "The microphone was disconnected. Choose another one under Devices.",
} as const;

/** Something that keeps a conversation from being held, in words for the person. */
export class Refusal extends Error {
  /** `words` stand for those of the trouble, where somebody knows more; `detail` is for the console. */
  constructor(
    readonly trouble: Trouble,
    readonly detail = "",
    readonly words: string = TROUBLE[trouble],
  ) {
    super(words);
  }
}

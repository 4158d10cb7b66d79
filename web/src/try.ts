// The try-it page: a telephone for each assistant.
export {};

interface Listed {
  assistants: { id: string; name: string }[];
}

async function show(): Promise<void> {
  const told = document.getElementById("told")!;
  const answer = await fetch("/try/assistants");
  if (!answer.ok) {
    told.textContent = ((await answer.json()) as { detail: string }).detail;
    return;
  }
  const { assistants } = (await answer.json()) as Listed;
  told.textContent = assistants.length ? "" : "There is no assistant yet: POST /assistant makes one.";
  told.hidden = assistants.length > 0;
  for (const { id, name } of assistants) {
    const call = document.createElement("offhook-call");
    call.setAttribute("session-url", "/try/session");
    call.setAttribute("assistant-id", id);
    call.setAttribute("label", name);
    document.getElementById("assistants")!.append(call);
  }
}

show().catch(() => {
  document.getElementById("told")!.textContent = "Offhook does not answer. Is it still up? Reload this page then.";
});

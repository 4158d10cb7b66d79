// How loud somebody is, as a bar; for the eye alone.

export class Level {
  readonly element = document.createElement("div");
  private who = document.createElement("span");
  private fill = document.createElement("i");
  private frame = 0;

  constructor(name: string) {
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.append(this.fill);
    this.element.className = "level";
    this.element.setAttribute("aria-hidden", "true");
    this.element.append(this.who, bar);
    this.name(name);
    this.stop();
  }

  name(name: string): void {
    this.who.textContent = name;
  }

  run(measure: () => number): void {
    this.stop();
    this.element.hidden = false;
    const draw = (): void => {
      this.fill.style.setProperty("--level", measure().toFixed(3));
      this.frame = requestAnimationFrame(draw);
    };
    draw();
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
    this.element.hidden = true;
  }
}

"""The tools that the model may call on a call: one module each, and one table of them."""

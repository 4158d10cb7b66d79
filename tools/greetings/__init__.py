"""What people and machines say on answering, a sentence a line, and what is learned from it."""

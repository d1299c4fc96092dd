"""Who may call: projects, their tokens, what they may use, and the audit of every change."""

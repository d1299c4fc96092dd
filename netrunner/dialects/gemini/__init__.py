"""Gemini's own dialect: generateContent and what belongs to it."""

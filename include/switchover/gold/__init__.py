"""The gold set: questions, what answers them, the corpus, and the formats it is read from."""

"""System 1: observation and newest latents in, a chunk of future joint positions out."""

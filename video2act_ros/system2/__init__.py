"""System 2: camera history in, spatial and motion latents of a video diffusion model out."""

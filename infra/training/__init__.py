"""The training process: fine-tunes in a process of its own, which alone imports torch."""

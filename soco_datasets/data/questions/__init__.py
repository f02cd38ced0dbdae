"""The config `lvlm`: which questions there are, their words, and what is drawn into their images."""

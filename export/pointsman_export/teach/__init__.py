"""`pointsman teach`: a served model writes prompts for the described categories, and the classifier learns them."""

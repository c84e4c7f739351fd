"""Text burned into pictures: where it is, which kinds of pictures usually have any, and how it is painted over."""

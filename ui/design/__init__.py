"""What the page "Design" shows and does: one scenario text, and the views of it.

The text is the truth. A table or the drawing asks for a change of it, which is made in place, so that
comments, order, quotes and layout of everything else stay as they were.
"""

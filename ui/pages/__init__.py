"""The pages: each module draws one, with a function `page`."""

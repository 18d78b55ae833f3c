SELECT path FROM file WHERE state = 'waiting' ORDER BY id

SELECT count() FROM table_partitions({name})

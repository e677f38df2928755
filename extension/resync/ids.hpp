// Ids of documents from values of the key's columns: the texts that the feed itself makes.
#pragma once

#include "fetch/feed.hpp"

extern "C" {
#include "executor/spi.h"
}

namespace conveyor {

struct IdWriter {
  const Feed* feed;
  SPIPlanPtr plan;
};

// SPI must be connected, and stay so.
void id_writer_init(IdWriter* writer, const Feed* feed);

// text[] of as many ids as each of the arrays (one a key column) has values. Allocates in SPI's context.
Datum ids_of(const IdWriter* writer, Datum* arrays);

}  // namespace conveyor

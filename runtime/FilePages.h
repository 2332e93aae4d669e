// Pages of a file that is mapped shared and read-only (MappedFile): they may be mapped once more elsewhere, and
// be given back while they are not read.
#pragma once

#include "runtime/DataSection.h"

#include <cstddef>
#include <span>

namespace lmc {

/// Gives the memory of a part of a file's pages back until it is read again.
void forgetPages(std::span<const std::byte> part);

/// Room that appendPages() takes beyond the bytes themselves, at most.
size_t slackOfPages();

/// Appends a part of a file's pages: whole pages are mapped, not copied, so they take no memory of their own,
/// other processes share them, and those that nobody reads are never loaded. The bytes therefore start where they
/// start in a page of the file. The section must have room (reserve). What the file's owner changes in it later
/// changes here.
void appendPages(DataSection &data, std::span<const std::byte> part);

} // namespace lmc
